"""Files, folders, lists, videos, cameras and addresses -> one stream of frames, in constant memory."""

from cmsa.inference.streams.frame import Frame, Item, Notice
from cmsa.inference.streams.live import Retry
from cmsa.inference.streams.names import public_name
from cmsa.inference.streams.read import Reading, read_frames
from cmsa.inference.streams.sources import Source, SourceFinder

__all__ = ["Frame", "Item", "Notice", "Reading", "Retry", "Source", "SourceFinder", "public_name", "read_frames"]
