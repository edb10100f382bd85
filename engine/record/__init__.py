"""What is asked, what happened and where it is kept: plain data and files, all that the page imports; never torch."""
