"""How fast it is: ratios against others, measured in one run, interleaved."""
