"""The same work done by everybody who can, in turns: one artifact in every runtime that is at hand, and what else is
measured beside others. What comes of it is one kind of record, from which tables and plots are made."""
