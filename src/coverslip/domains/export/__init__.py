"""Data sets of cells written as folders that cellucid's first generation and coverslip serve."""
