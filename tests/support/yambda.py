"""The published types of Yambda's table of events."""

import pyarrow as pa

EVENT_TYPES = {
    "uid": pa.uint32(),
    "timestamp": pa.uint32(),
    "item_id": pa.uint32(),
    "is_organic": pa.uint8(),
    "played_ratio_pct": pa.uint16(),
    "track_length_seconds": pa.uint32(),
    "event_type": pa.dictionary(pa.int8(), pa.string()),
}
