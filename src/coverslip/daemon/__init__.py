"""One server in the background: started, asked and ended from the command line. Nothing heavy is imported to ask."""
