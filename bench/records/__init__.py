"""Run records: what was run, on what, with which result and cost. Everything that is reported is computed from them."""
