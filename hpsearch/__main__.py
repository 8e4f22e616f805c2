"""`python -m hpsearch` is the `hpsearch` command."""

from hpsearch.cli.app import main

main()
