"""Weights that somebody has trained: loaded once, while the image is built, and never at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docker.place import variables
from towline.spec.stacks.code import MODEL_NAME

if TYPE_CHECKING:
    from towline.artifacts.docker.place import Place
    from towline.spec.stack import ModelLoad

FOLDER = "/opt/weights"

_WHERE = (f"HF_HOME={FOLDER}/huggingface", f"TORCH_HOME={FOLDER}/torch")
_OFFLINE = ("HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1")


def weights_stage(place: Place) -> list[str]:
    """The stage that loads the weights, one layer a model; nothing when there are none to load into a folder."""
    loads = [load for load in place.stack.model_loads if load.call != "spacy.load"]
    if not loads:
        return []
    lines = [
        "# The weights: loaded here once, so that no start waits for them or needs the internet.",
        f"FROM {place.stage('packages')} AS {place.stage('weights')}",
        variables(*_variables(place)),
    ]
    told = dict.fromkeys(f"ARG {load.variable}={_name(place, load)}" for load in loads if load.variable)
    return [*lines, *told, *(f"RUN python -c '{_statement(load)}'" for load in loads)]


def weights_lines(place: Place) -> list[str]:
    """What the last stage takes of them."""
    if not weights_stage(place):
        return []
    return [f"COPY --from={place.stage('weights')} {FOLDER} {FOLDER}"]


def weights_variables(place: Place) -> tuple[str, ...]:
    """The variables by which the libraries find them, and look nowhere else."""
    return (*_variables(place), *_OFFLINE) if weights_stage(place) else ()


def packaged_models(place: Place) -> list[str]:
    """Models that are installed as packages are: those of spaCy."""
    names = dict.fromkeys(_name(place, load) for load in place.stack.model_loads if load.call == "spacy.load")
    return [f"RUN python -m spacy download {name}" for name in names]


def _variables(place: Place) -> tuple[str, ...]:
    whisper = any(load.call == "whisper.load_model" for load in place.stack.model_loads)
    return (*_WHERE, *((f"XDG_CACHE_HOME={FOLDER}/cache",) if whisper else ()))


def _statement(load: ModelLoad) -> str:
    """The Python that loads one model as the code does; names have been read, so that no quote is in them."""
    module = load.call.split(".", 1)[0]
    named = f'os.environ["{load.variable}"]' if load.variable else f'"{load.name}"'
    task = f'"{load.task}", model=' if load.task else ""
    return f"import {'os, ' if load.variable else ''}{module}; {load.call}({task}{named})"


def _name(place: Place, load: ModelLoad) -> str:
    """The model's name: what the Compose file gives the variable that decides, else what stands in the code."""
    told = next((one.value or one.default for one in place.variables if one.name == load.variable), None)
    return told if told and MODEL_NAME.match(told) else load.name
