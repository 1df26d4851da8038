"""A chapter's run: settings and seed going in; figures, tables, numbers and verdicts coming out."""
