"""What the subcommands do, one module each: `run(args) -> exit code`, imported when called."""
