"""What stored runs show: rows measured side by side, comparisons, and statements as typed values; words are made in
reporting/."""
