"""Many pictures on one machine: processes that share them, and shards of answers that are whole or absent"""
