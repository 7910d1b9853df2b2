"""The subcommands, a file each: what is typed, what is called, what is printed."""
