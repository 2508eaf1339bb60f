"""Many pictures on one machine: processes that share them, and shards of answers that are whole or absent."""

from typing import Literal

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")
PICTURES_A_SHARD = 1000
