"""`python -m consumer` is `elasti`."""

from consumer.cli import main

if __name__ == "__main__":
    main()
