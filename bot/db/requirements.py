"""What a database must bring before our tables can stand in it: its version, pgvector, and a role for the bot."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import unicodedata

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import InvalidSettings

OLDEST_SERVER = 16
OLDEST_VECTOR = (0, 8)  # the first with iterative index scans

_SCRAM_ROUNDS = 4096  # PostgreSQL's default
_FORBIDDEN = "42501"
_NO_SUCH_OBJECT = "42704"
_EXISTS = {"42710", "23505"}  # a role made between our look and our try

_EXTENSION = """
    SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'
"""


async def require_server(connection: AsyncConnection) -> None:
    """Raise InvalidSettings when PostgreSQL is too old."""
    require_version(int((await connection.execute(text("SHOW server_version_num"))).scalar_one()))
    await connection.rollback()


def require_version(server_version_num: int) -> None:
    """Raise InvalidSettings when this isn't at least PostgreSQL 16; 160003 is 16.3."""
    major = server_version_num // 10_000
    if major < OLDEST_SERVER:
        raise InvalidSettings(
            f"PostgreSQL {major}",
            user_message=f"DATABASE_URL names a PostgreSQL {major}; Recollect needs {OLDEST_SERVER} or newer.",
        )


async def ensure_extension(connection: AsyncConnection) -> str:
    """Return the schema that pgvector lives in, made now when it was missing; in the search path afterwards.

    Raises InvalidSettings when the server hasn't got it, it is too old, or we may not make it.
    """
    found = (await connection.execute(text(_EXTENSION))).one_or_none()
    if found is None:
        await _create_extension(connection)
        found = (await connection.execute(text(_EXTENSION))).one()
    schema, version = found
    if _parts(version) < OLDEST_VECTOR:
        raise InvalidSettings(
            f"pgvector {version}",
            user_message=f"The database has pgvector {version}; Recollect needs 0.8 or newer. Ask an administrator to "
            f'install it and run in database "{await _database(connection)}": ALTER EXTENSION vector UPDATE;',
        )
    if schema not in (await connection.execute(text("SELECT current_schemas(true)"))).scalar_one():
        extend = "SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(:s), false)"
        await connection.execute(text(extend), {"s": schema})
    await connection.commit()
    return str(schema)


async def _create_extension(connection: AsyncConnection) -> None:
    available = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
    version = (await connection.execute(available)).scalar_one_or_none()
    if version is None or _parts(version) < OLDEST_VECTOR:
        raise InvalidSettings(
            f"pgvector available: {version}",
            user_message="The PostgreSQL server lacks pgvector 0.8 or newer. Ask an administrator to install it "
            "(https://github.com/pgvector/pgvector), or use the image pgvector/pgvector:pg17.",
        )
    try:
        await connection.execute(text("CREATE EXTENSION vector"))
    except DBAPIError as error:
        if sqlstate(error) != _FORBIDDEN:
            raise
        await connection.rollback()
        raise InvalidSettings(
            "may not create the extension",
            user_message=f'Ask an administrator to run once in database "{await _database(connection)}": '
            "CREATE EXTENSION vector;",
        ) from error


async def require_creation(connection: AsyncConnection) -> None:
    """Raise InvalidSettings when the owner's role may not make tables: since PostgreSQL 15 few may."""
    allowed = text("SELECT current_user, current_schema(), has_schema_privilege(current_schema(), 'CREATE')")
    user, schema, may = (await connection.execute(allowed)).one()
    await connection.rollback()
    if not may:
        raise InvalidSettings(
            f"{user} may not create in {schema}",
            user_message=f'Role "{user}" may not make tables in database "{await _database(connection)}". Set '
            "DATABASE_OWNER_URL to a role that may, or ask an administrator to run there: "
            f'GRANT CREATE ON SCHEMA {schema or "public"} TO "{user}";',
        )


async def require_rights(connection: AsyncConnection, bot: URL) -> None:
    """Raise InvalidSettings when the tables were made for another role than the bot's."""
    allowed = text("SELECT has_table_privilege(:role, 'workspaces', 'INSERT')")
    try:
        may = (await connection.execute(allowed, {"role": bot.username})).scalar_one()
    except DBAPIError as error:
        if sqlstate(error) != _NO_SUCH_OBJECT:
            raise
        may = False
    await connection.rollback()
    if not may:
        raise InvalidSettings(
            f"{bot.username} has no rights",
            user_message=f'Role "{bot.username}" has no rights on the tables: they were made for another role. Ask an '
            f'administrator to grant that one to it: GRANT "the other" TO "{bot.username}";',
        )


async def ensure_role(connection: AsyncConnection, bot: URL, *, vector_schema: str) -> None:
    """Make the bot's role when it is missing, and let it reach the schemas it needs.

    Raises InvalidSettings, with what an administrator must run, when we may not.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    role = quote(bot.username or "")
    known = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
    if (await connection.execute(known, {"name": bot.username})).scalar_one_or_none() is None:
        await _try(connection, f"CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS", password=str(bot.password or ""))
    schema = (await connection.execute(text("SELECT current_schema()"))).scalar_one()
    for name in (schema, vector_schema):
        usable = text("SELECT has_schema_privilege(:role, :schema, 'USAGE')")
        if not (await connection.execute(usable, {"role": bot.username, "schema": name})).scalar_one():
            await _try(connection, f"GRANT USAGE ON SCHEMA {quote(name)} TO {role}")
    await connection.commit()


async def _try(connection: AsyncConnection, statement: str, *, password: str = "") -> None:
    secret = f" PASSWORD '{scram_verifier(password)}'" if password else ""
    try:
        await connection.execute(text("SAVEPOINT role"))
        await connection.exec_driver_sql(statement + secret)
    except DBAPIError as error:
        if sqlstate(error) in _EXISTS:
            await connection.execute(text("ROLLBACK TO SAVEPOINT role"))
            return
        if sqlstate(error) != _FORBIDDEN:
            raise
        asked = statement + (" PASSWORD 'the one in DATABASE_URL'" if password else "")
        raise InvalidSettings(
            "the owner may not do this",
            user_message=f"The bot's role lacks something. Ask an administrator to run: {asked};",
        ) from error


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """Return what PostgreSQL stores for a password, so that no log of the server ever holds it (RFC 5803)."""
    salt = salt or os.urandom(16)
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, _SCRAM_ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{salt64}${stored64}:{server64}"


async def _database(connection: AsyncConnection) -> str:
    return str((await connection.execute(text("SELECT current_database()"))).scalar_one())


def sqlstate(error: DBAPIError) -> str | None:
    """Return PostgreSQL's five-character code for what went wrong, if PostgreSQL said it."""
    return getattr(error.orig, "sqlstate", None)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
