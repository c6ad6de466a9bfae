"""`python -m factory` is the `factory` command."""

from factory.cli.app import main

if __name__ == "__main__":
    main()
