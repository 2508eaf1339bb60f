"""Many pictures: processes, on one machine or several, that share them, and shards that are whole or absent."""

from typing import Literal

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")
PICTURES_A_SHARD = 1000
