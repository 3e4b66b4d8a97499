"""Run records and predictions in, tables and figures out. Pure: the same files give the same bytes."""
