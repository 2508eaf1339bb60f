"""The same model behind other servers, for `benchmarks.server_load`; each runs in an environment of its own."""
