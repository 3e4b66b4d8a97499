"""Commands on a machine that lacks something: space, rights, memory, a steady clock, speed, or solitude."""
