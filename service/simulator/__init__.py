"""What answers where there is no key: a look-alike of Groq's API over real HTTP."""

from service.simulator.answers import (
    Answer,
    Cut,
    CutBeforeHeaders,
    Gate,
    NoResponse,
    Pause,
    Piece,
    Raw,
    Refusal,
    Silence,
    Text,
)
from service.simulator.app import make_simulator
from service.simulator.models import Pricing, SimulatedModel
from service.simulator.script import End, Received, Script
from service.simulator.server import run_simulator
from service.simulator.wire import DONE, chunk, error_data, in_pieces, stream_of

__all__ = [
    "DONE",
    "Answer",
    "Cut",
    "CutBeforeHeaders",
    "End",
    "Gate",
    "NoResponse",
    "Pause",
    "Piece",
    "Pricing",
    "Raw",
    "Received",
    "Refusal",
    "Script",
    "Silence",
    "SimulatedModel",
    "Text",
    "chunk",
    "error_data",
    "in_pieces",
    "make_simulator",
    "run_simulator",
    "stream_of",
]
