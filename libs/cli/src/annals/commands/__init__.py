"""The subcommands: their arguments, options and help, and how results are printed."""
