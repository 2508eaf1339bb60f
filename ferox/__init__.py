"""The command `ferox`: trains, exports, measures and serves."""
