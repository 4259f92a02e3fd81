"""Commands that read the catalogue: list, show, check."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.catalog.judge import doubts, offer_doubts
from towline.catalog.offers import SERVES
from towline.catalog.read import OWN_FILE, built_in, look, open_own, own_file, read_catalog
from towline.catalog.show import limit_text, main_price, offer_json, price_text, region_json
from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import Findings, UsageError
from towline.spec.nearest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.catalog.offers import Evidence, Offer, Provider
    from towline.catalog.read import Catalog

OwnOffers = Annotated[
    Path | None, typer.Option("--offers", help=f"Your own offers and overrides; else {OWN_FILE} of the project.")
]
Day = Annotated[
    datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Judge ages as of this day, not today.")
]

commands = typer.Typer(no_args_is_help=True, help="What can be bought: prices and limits, each with source and date.")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.add_typer(commands, name="catalog")


@commands.command(name="list")
def list_offers(
    provider: Annotated[str | None, typer.Option("--provider", help="Only of this provider.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only what serves this: web, server, postgres, ...")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Only what is sold in PROVIDER/REGION.")] = None,
    offers: OwnOffers = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """List offers by name, each with its main price and how well that is known. Nothing is fetched."""
    catalog = read_catalog(own_file(project, offers))
    _refuse_unknown("provider", provider, catalog.providers)
    _refuse_unknown("kind", kind, SERVES)
    if region is not None:
        catalog.region(region)
    found = catalog.select(provider=provider, serves=kind, region=region)
    screen = Screen(as_json)
    if as_json:
        places = [region_json(one) for one in catalog.regions.values() if provider in {None, one.name.split("/")[0]}]
        screen.json({"offers": [offer_json(one) for one in found], "regions": places})
        return
    screen.table(
        ("offer", "serves", "price", "cpu", "memory", "as of", "says", ""), [_row(catalog, one) for one in found]
    )
    screen.talk.print(f"{len(found)} offers; prices are as of their date, and nothing was fetched.")


@commands.command()
def show(
    offer: Annotated[str, typer.Argument(help="The name that `list` prints: PROVIDER/PRODUCT/PLAN.")],
    offers: OwnOffers = None,
    on: Day = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Show one offer: every price, limit and rule, who says so, and as of when."""
    catalog = read_catalog(own_file(project, offers))
    one = catalog.offer(offer)
    billing = catalog.providers[one.provider]
    found = offer_doubts(one, _day(on))
    screen = Screen(as_json)
    if as_json:
        said = {"clock": billing.clock, "stopped": billing.stopped, "note": billing.note}
        screen.json({**offer_json(one), "billing": said, "findings": [finding.as_json() for finding in found]})
        return
    _show_head(screen, one, billing)
    rows = [(name, price_text(price, one.currency), *_said(price.evidence)) for name, price in one.prices.items()]
    screen.table(("price", "", "as of", "says", "note"), rows)
    rows = [(name, limit_text(limit), *_said(limit.evidence)) for name, limit in one.limits.items()]
    if rows:
        screen.answer.print()
        screen.table(("limit", "", "as of", "says", "note"), rows)
    for rule in one.rules:
        screen.answer.print(f"\nrule {rule.kind}: {escape(rule.then)}")
    urls = {price.evidence.source.url for price in one.prices.values()} | {one.evidence.source.url}
    screen.answer.print("\n" + "\n".join(f"source: {escape(url)}" for url in sorted(urls)))
    screen.findings(found)


@commands.command()
def check(
    file: Annotated[Path | None, typer.Argument(help=f"Your own file; else {OWN_FILE} of the project, if any.")] = None,
    on: Day = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """List what is wrong in the catalogue, and what is old, contested, second-hand or missing.

    Exit status 0: it can be used, with or without warnings. 2: a file has mistakes.
    """
    own = own_file(project, file)
    catalog, mistakes = look(built_in(), None if own is None else open_own(own))
    found = [*mistakes, *doubts(catalog, _day(on))]
    errors = [one for one in found if one.level == "error"]
    screen = Screen(as_json)
    if as_json:
        screen.json({"ok": not errors, "findings": [one.as_json() for one in found]})
    else:
        screen.findings(found)
        counts = f"{len(catalog.offers)} offers of {len(catalog.providers)} providers"
        screen.answer.print(f"{counts}; {len(errors)} mistakes, {len(found) - len(errors)} warnings")
    if errors:
        raise typer.Exit(Findings.exit_status)


def _day(on: datetime | None) -> date:
    return on.date() if on is not None else datetime.now(UTC).date()


def _refuse_unknown(what: str, word: str | None, known: Iterable[str]) -> None:
    names = list(known)
    if word is not None and word not in names:
        raise UsageError(
            f"There is no {what} `{word}`{did_you_mean(word, names)}", hint=f"known: {listed(names, 'and')}"
        )


def _row(catalog: Catalog, one: Offer) -> tuple[str, ...]:
    limits = [limit_text(one.limits[name]) if name in one.limits else "-" for name in ("cpu", "memory")]
    state = {"yes": "", "stock": "if in stock", "no": "no longer sold", "unknown": "perhaps not sold"}[one.orderable]
    mark = "own" if one.name in catalog.own else state
    main = main_price(one)
    when, confidence, _ = _said(one.evidence if main is None else main.evidence)
    price = "-" if main is None else price_text(main, one.currency)
    return (one.name, ", ".join(one.serves), price, *limits, when, confidence, mark)


def _said(one: Evidence) -> tuple[str, str, str]:
    return str(one.read), one.confidence, one.note


def _show_head(screen: Screen, one: Offer, billing: Provider) -> None:
    words = [one.name, one.title, f"serves {', '.join(one.serves)}", f"{one.currency}, VAT {one.vat}"]
    screen.answer.print(escape("; ".join(word for word in words if word)))
    clock = "by use" if billing.clock == "use" else f"by the {billing.clock}"
    stopped = {"billed": "costs too", "free": "costs nothing", "unknown": "costs nobody knows what"}[billing.stopped]
    still = f"; stopped, it {stopped}" if "instance" in one.prices else ""
    screen.answer.print(f"{escape(billing.title)}: charged {clock}{still}")
    where = ", ".join(name.partition("/")[2] for name in one.regions) or "every region of the provider"
    screen.answer.print(f"sold in {escape(where)}; orderable: {one.orderable}")
    if one.needs:
        screen.answer.print(f"needs {escape(', '.join(one.needs))}, or a larger one of its kind")
    if one.credit is not None:
        screen.answer.print(f"credit of {one.credit.amount} {one.currency} for {', '.join(one.credit.meters)}")
    if one.evidence.note:
        screen.answer.print(f"note: {escape(one.evidence.note)}")
    screen.answer.print()
