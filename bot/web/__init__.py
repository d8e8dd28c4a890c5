"""HTTP: health and the REST API."""
