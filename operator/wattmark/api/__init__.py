"""The API: both kinds, their status, the runner's order and report. The only schema; no I/O."""
