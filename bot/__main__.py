"""The command line: `bot demo`, `bot run`, `bot ask` and the rest. What a command does lives in its own module.

The modules are imported by the commands themselves: the models and the parser take a second to load.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from bot.console import run as run_command
from bot.console import say

cli = typer.Typer(
    name="bot",
    help="Recollect answers from the files your team shares, and quotes the words it relies on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
migrations = typer.Typer(name="migrate", help="Bring the database's tables up to date, or down.", no_args_is_help=True)
keys = typer.Typer(name="keys", help="API keys of the HTTP API.", no_args_is_help=True)
cli.add_typer(migrations)
cli.add_typer(keys)
users = typer.Typer(name="users", help="What is stored of one person.", no_args_is_help=True)
cli.add_typer(users)
tokens = typer.Typer(name="tokens", help="The workspaces' Slack tokens in the database.", no_args_is_help=True)
cli.add_typer(tokens)
evaluation = typer.Typer(
    name="eval", help="How well the bot finds and answers, on your questions or a public set.", no_args_is_help=True
)
cli.add_typer(evaluation)

Who = Annotated[str, typer.Argument(metavar="PERSON", help="Their email address or Slack id (U…).")]
Team = Annotated[str | None, typer.Option(help="Workspace id; none: the Slack token's, else the local one.")]
ChannelId = Annotated[
    str | None, typer.Option(help="Slack's id of a channel (C…); none: your own documents and public ones.")
]

NoAnswers = Annotated[bool, typer.Option("--no-answers", help="Only search: nobody is asked to answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")]
Plot = Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the search figures there.")]
AtLeast = Annotated[str, typer.Option(metavar="NAME=VALUE,…", help="Exit 1 below: ndcg@10=.97,dense.recall@5=.9.")]
Prices = Annotated[str, typer.Option(metavar="READ,WRITTEN", help="Dollars for a million tokens, for the cost.")]
QuestionFile = Annotated[
    Path, typer.Argument(metavar="FILE", help=".csv or .jsonl of question, file, text, refuse.", show_default=False)
]


@cli.callback(invoke_without_command=True)
def _version(*, show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if show:
        say(f"recollect {_installed_version()}")
        raise typer.Exit


@cli.command()
def demo(
    *,
    host: Annotated[str, typer.Option(help="Address the page is served at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free one.")] = 8080,
    no_open: Annotated[bool, typer.Option("--no-open", help="Don't open the page in a browser.")] = False,
) -> None:
    """Try Recollect with a Slack of its own, on this machine: no account, no key."""
    from bot.demo import demo as run_demo

    run_command(lambda settings: run_demo(settings, host=host, port=port, open_page=not no_open), quiet=True)


@cli.command()
def run(
    *,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only hear and store; `bot worker` does the work.")
    ] = False,
) -> None:
    """Run the bot in a Slack workspace."""
    from bot.app import serve

    run_command(lambda settings: serve(settings, worker=not no_worker))


@cli.command()
def worker(
    *,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of its health; none: HTTP_PORT, 0: any free one.")
    ] = None,
) -> None:
    """Do the work that `bot run` stores, beside it: as many of these as you like, on as many machines."""
    from bot.app import serve_work

    run_command(lambda settings: serve_work(settings, health_port=health_port))


@cli.command()
def doctor(
    *,
    leak_test: Annotated[
        bool, typer.Option("--leak-test", help="Prove that people are shown what Slack lets them read, and no more.")
    ] = False,
    sample: Annotated[int, typer.Option(min=1, max=1000, help="Channels and people it looks at, at most.")] = 20,
) -> None:
    """Check database, Slack, models and disk, and say how to mend what is wrong."""
    from bot.doctor import doctor as examine
    from bot.doctor.leaks import leak_test as prove

    run_command((lambda settings: prove(settings, sample=sample)) if leak_test else examine, quiet=True)


@cli.command()
def ask(question: list[str], *, channel: ChannelId = None, team: Team = None) -> None:
    """Answer a question, with the words the answer relies on."""
    from bot import commands

    run_command(lambda settings: commands.ask(settings, " ".join(question), channel=channel, team=team), quiet=True)


@cli.command()
def search(
    words: list[str],
    *,
    channel: ChannelId = None,
    team: Team = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages shown at most.")] = 5,
) -> None:
    """Find passages."""
    from bot import commands

    run_command(
        lambda settings: commands.search(settings, " ".join(words), channel=channel, team=team, limit=limit), quiet=True
    )


@cli.command()
def ingest(files: list[Path], *, channel: ChannelId = None, team: Team = None) -> None:
    """Read files into memory: your own, or a channel's."""
    from bot import commands

    run_command(lambda settings: commands.ingest(settings, files, channel=channel, team=team), quiet=True)


@cli.command()
def retention(
    days: Annotated[str | None, typer.Argument(help="Days, or `off`; without it, how it is now is shown.")] = None,
    *,
    team: Team = None,
) -> None:
    """Say, or set, for how many days a workspace keeps what was shared and said."""
    from bot import commands

    run_command(lambda settings: commands.retention(settings, days, team=team), quiet=True)


@cli.command()
def audit(
    *,
    since: Annotated[str | None, typer.Option(help="An age (30m, 12h, 7d, 2w) or a date.")] = None,
    actor: Annotated[
        str | None, typer.Option(help="Email address, Slack id, or an actor as the log shows it (key:…, cli:…).")
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="Such as document.deleted; or document, for all of that kind.")
    ] = None,
    before: Annotated[UUID | None, typer.Option(help="Go on into the past from this entry.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries shown at most, the newest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    team: Team = None,
) -> None:
    """Show who did what, newest last."""
    from bot import oversight

    run_command(
        lambda settings: oversight.audit(
            settings,
            since=since,
            actor=actor,
            action=action,
            before=before,
            limit=limit,
            as_json=as_json,
            team=team,
        ),
        quiet=True,
    )


@cli.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[--file FILE]… [--ask QUESTION [--expect TEXT]]… …",
)
def smoke(context: typer.Context) -> None:
    """Do the main job without a person: share files in a local Slack, ask, and look at what is quoted.

    Each question is asked in the thread of the files named before it, and TEXT must stand in a quote of its answer;
    a question without --expect must be refused. Without arguments: the files and questions that come along.
    """
    from bot.smoke import smoke as run_smoke
    from bot.smoke_arguments import cases_from

    arguments = list(context.args)
    run_command(lambda settings: run_smoke(cases_from(arguments), settings), quiet=True)


@migrations.command()
def up() -> None:
    """Bring the tables to the newest revision. `bot run` and `bot demo` do it by themselves."""
    from bot import schema

    run_command(schema.up, quiet=True)


@migrations.command()
def down(
    revision: Annotated[str, typer.Argument(help="Revision to go back to; base: none of our tables are left.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask: what the tables hold is lost.")] = False,
) -> None:
    """Take tables away, and all they hold."""
    from bot import schema

    if not yes:
        typer.confirm("This deletes what the tables hold, for good. Go on?", abort=True)
    run_command(lambda settings: schema.down(settings, revision), quiet=True)


@migrations.command()
def status() -> None:
    """Say which revision the database is at; exit 1 when it isn't the newest."""
    from bot import schema

    run_command(schema.status, quiet=True)


@keys.command()
def create(
    *,
    email: Annotated[str, typer.Option(help="Whose key it is; a new address makes a new person.")],
    name: Annotated[str, typer.Option(help="Their name.")],
    admin: Annotated[bool, typer.Option("--admin", help="Make them an administrator.")] = False,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, 2027-03-31, never; none: in a year.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it is good for: read, write, admin; none: all that is theirs.")
    ] = None,
    team: Team = None,
) -> None:
    """Print a new API key. It is shown this once."""
    from bot import commands

    run_command(
        lambda settings: commands.create_key(
            settings, name=name, email=email, is_admin=admin, expires=expires, scopes=scope or (), team=team
        ),
        quiet=True,
    )


@keys.command("list")
def list_keys(*, email: Annotated[str, typer.Option(help="Whose keys.")], team: Team = None) -> None:
    """List somebody's API keys by their numbers: the keys themselves are not kept."""
    from bot import commands

    run_command(lambda settings: commands.list_keys(settings, email=email, team=team), quiet=True)


@keys.command()
def revoke(
    number: Annotated[UUID, typer.Argument(help="The key's number (bot keys list).")], *, team: Team = None
) -> None:
    """Make a key worthless from now on."""
    from bot import commands

    run_command(lambda settings: commands.revoke_key(settings, number, team=team), quiet=True)


@users.command()
def export(
    who: Who, *, to: Annotated[Path, typer.Option(help="A new file: FILE.json or FILE.zip.")], team: Team = None
) -> None:
    """Write all that is stored of one person into a file."""
    from bot import dossier

    run_command(lambda settings: dossier.export(settings, who, to=to, team=team), quiet=True)


@users.command()
def erase(
    who: Who,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask: it is gone for good.")] = False,
    team: Team = None,
) -> None:
    """Take away all that is stored of one person, and what they alone shared."""
    from bot import dossier

    if not yes:
        typer.confirm(
            f"This deletes for good what is stored of {who}, and the documents they alone shared. Go on?", abort=True
        )
    run_command(lambda settings: dossier.erase(settings, who, team=team), quiet=True)


@tokens.command()
def rotate() -> None:
    """Encrypt all of them with the first of TOKEN_KEYS, so that the other keys can go."""
    from bot import oversight

    run_command(oversight.rotate_keys, quiet=True)


@tokens.command()
def discard(
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Don't ask: their workspaces have to let the bot in again.")
    ] = False,
) -> None:
    """Forget those that none of TOKEN_KEYS opens any more; documents and all else stay."""
    from bot import oversight

    if not yes:
        typer.confirm("Their workspaces have to let the bot in again. Go on?", abort=True)
    run_command(oversight.discard_tokens, quiet=True)


@evaluation.command("beir")
def eval_beir(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="corpus.jsonl, queries.jsonl and qrels/*.tsv.")],
    *,
    split: Annotated[str | None, typer.Option(help="Which qrels; none: test, dev, train, the first there is.")] = None,
    no_answers: NoAnswers = False,
    as_json: AsJson = False,
    plot: Plot = None,
    at_least: AtLeast = "",
    prices: Prices = "",
) -> None:
    """Evaluate a retrieval set in BEIR's layout, in a workspace that is gone afterwards."""
    from bot.eval import commands

    options = commands.Options(answers=not no_answers, as_json=as_json, plot=plot, at_least=at_least, prices=prices)
    run_command(lambda settings: commands.beir(settings, folder, split=split, options=options), quiet=True)


@evaluation.command("questions")
def eval_questions(
    file: QuestionFile,
    *,
    channel: ChannelId = None,
    team: Team = None,
    no_answers: NoAnswers = False,
    as_json: AsJson = False,
    plot: Plot = None,
    at_least: AtLeast = "",
    prices: Prices = "",
) -> None:
    """Ask your own questions of what was shared, and count what is found; nothing of it is kept."""
    from bot.eval import commands

    options = commands.Options(answers=not no_answers, as_json=as_json, plot=plot, at_least=at_least, prices=prices)
    run_command(
        lambda settings: commands.questions(settings, file, channel=channel, team=team, options=options), quiet=True
    )


@evaluation.command("calibrate")
def eval_calibrate(
    file: QuestionFile, *, channel: ChannelId = None, team: Team = None, as_json: AsJson = False
) -> None:
    """Say which BLEND_WEIGHT and RELEVANCE_FLOOR fit your own questions, by the embedding model in use."""
    from bot.eval import commands

    run_command(
        lambda settings: commands.calibration(settings, file, channel=channel, team=team, as_json=as_json), quiet=True
    )


def _installed_version() -> str:
    try:
        return version("recollect")
    except PackageNotFoundError:
        return "(a checkout that isn't installed)"


def main() -> None:
    """Run the command line: the `bot` script."""
    cli(sys.argv[1:])


if __name__ == "__main__":
    main()
