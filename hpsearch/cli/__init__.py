"""The command line: flags become a study, results become text. The only floor that prints and exits."""
