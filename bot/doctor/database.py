"""Looks at the database: whether it is there, new enough and migrated, and the bot's role small enough."""

from __future__ import annotations

from bot.db import migrate
from bot.db.inspection import DatabaseFacts, inspect
from bot.db.requirements import OLDEST_VECTOR
from bot.db.storage import Server
from bot.doctor.finding import Finding, fail, ok, warn

_OWNER = (
    "Let DATABASE_URL name a role of the bot's own, and DATABASE_OWNER_URL the one that owns the tables; "
    "`bot migrate up` makes the bot's role when it is missing."
)


async def check_database(server: Server) -> list[Finding]:
    """Look at server, extension, schema and role. Raises InvalidSettings or DatabaseUnavailable when it isn't there."""
    schema = await migrate.status(server.owner_url)
    facts = await inspect(server.owner_url)
    findings = [ok("PostgreSQL", f"version {facts.server_version}"), _extension(facts), _schema(schema)]
    if schema.current is not None:
        findings.append(_role(await inspect(server.bot_url)))
    return findings


def _extension(facts: DatabaseFacts) -> Finding:
    needed = ".".join(str(part) for part in OLDEST_VECTOR)
    if facts.vector_version is None:
        mend = "Run `bot migrate up`, or ask an administrator to run: CREATE EXTENSION vector;"
        return warn("pgvector", "not in this database yet", mend=mend)
    if tuple(int(part) for part in facts.vector_version.split(".")[:2]) < OLDEST_VECTOR:
        mend = f"Install pgvector {needed} or newer on the server, and run: ALTER EXTENSION vector UPDATE;"
        return fail("pgvector", f"version {facts.vector_version}, older than {needed}", mend=mend)
    return ok("pgvector", f"version {facts.vector_version}")


def _schema(schema: migrate.SchemaStatus) -> Finding:
    if schema.pending:
        mend = "Run `bot migrate up`; `bot run` does it too."
        return warn("Tables", f"revision {schema.current or 'none'}, pending {', '.join(schema.pending)}", mend=mend)
    if schema.is_newer:
        mend = "This one works with them. Deploy the newer one everywhere, or bring the tables down with it."
        return warn("Release", f"older than the one that made the tables: {schema.head} < {schema.current}", mend=mend)
    return ok("Tables", f"revision {schema.current}, the newest")


def _role(facts: DatabaseFacts) -> Finding:
    if not facts.may_write:
        mend = f'Ask an administrator to grant the role they were made for: GRANT "the other" TO "{facts.role}";'
        return fail("Rights", f"{facts.role} has none on the tables: they were made for another role", mend=mend)
    if facts.is_superuser or facts.bypasses_row_security:
        what = "is a superuser" if facts.is_superuser else "has BYPASSRLS"
        return fail("Role", f"{facts.role} {what}: the wall between workspaces doesn't hold for it", mend=_OWNER)
    if facts.owned_tables:
        return fail(
            "Role",
            f"{facts.role} owns some of the tables ({facts.owned_tables}): it could take their walls down",
            mend=_OWNER,
        )
    return ok("Role", f"{facts.role} owns nothing, and row-level security holds for it")
