"""One number of the page changed in its text, with every comment and line of its author's where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.errors import Refused, Where
from towline.spec.source import read_source

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_scale(text: str, service: str, copies: int, place: str = "towline.yaml") -> str:
    """The page with `scale: COPIES` of a service. Raises Refused for a page in which no place for it can be told."""
    changed = _changed(text, service, copies)
    read = read_source(changed, place) if changed is not None else None
    now = read.at("services", service, "scale") if read is not None and not read.findings else None
    if changed is None or not _says(now, copies):
        raise Refused(
            f"`scale` of `{service}` cannot be written into {place} by itself",
            where=Where(place),
            hint=f"write it: services: {{{service}: {{scale: {copies}}}}}",
        )
    return changed


def _says(scale: object, copies: int) -> bool:
    if not isinstance(scale, dict):
        return scale == copies
    most = scale.get("max", copies)
    return bool(scale.get("min") == copies and isinstance(most, int) and most >= copies)


def _changed(text: str, service: str, copies: int) -> str | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:
        return None
    services = _value(root, "services")
    if services is None:
        return f"{text.rstrip()}\n\nservices:\n  {service}: {{scale: {copies}}}\n"
    entry = _value(services, service)
    if entry is None:
        return _added(text, services, f"{service}: {{scale: {copies}}}")
    scale = _value(entry, "scale")
    if scale is None:
        return _added(text, entry, f"scale: {copies}")
    number = _value(scale, "min") if _is_mapping(scale) else scale
    if number is None or _is_mapping(number):
        return None
    return f"{text[: number.start_mark.index]}{copies}{text[number.end_mark.index :]}"


def _added(text: str, mapping: Any, line: str) -> str | None:
    """One more entry at the head of a mapping, written as the mapping is."""
    first = next(_entries(mapping), None)
    if _is_mapping(mapping) and mapping.flow_style:
        at = mapping.start_mark.index + 1
        return f"{text[:at]}{line}{', ' if first else ''}{text[at:]}"
    if first is None:
        return None
    at = first[0].start_mark.index
    return f"{text[:at]}{line}\n{' ' * first[0].start_mark.column}{text[at:]}"


def _value(mapping: Any, name: str) -> Any:
    return next((value for key, value in _entries(mapping) if key.value == name), None)


def _entries(mapping: Any) -> Iterator[tuple[Any, Any]]:
    if _is_mapping(mapping):
        yield from mapping.value


def _is_mapping(node: Any) -> bool:
    from ruamel.yaml.nodes import MappingNode

    return isinstance(node, MappingNode)
