"""`python -m hpsearch` is the `hpsearch` command."""

from hpsearch.cli.start import main

main()
