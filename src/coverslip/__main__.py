"""``python -m coverslip``."""

from coverslip.cli.main import main

if __name__ == "__main__":
    main()
