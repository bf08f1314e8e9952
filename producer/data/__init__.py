"""Turns a job's `data` section into NumPy arrays. It knows files, and no Redis, framework or terminal.

A reader begins at `prepare`, which every command that trains calls.

prepare        a job's data for every side: loaded, split, standardised
arrays, npz, images, table_samples
               each source as samples: in the job file or drawn, NumPy's files, pictures, columns of a table
features       columns as features, fitted to the training samples
splits, targets
               which samples are held out, and the targets in the form that a loss takes
sniffing       how an unknown file of columns is written, for `likewise init`
table_file     files of columns; `text_table` and `text_lines` read separated text
file_lists     several files that are one set of samples
table, dates   columns in memory, and what kind of values each holds; how dates and times are written
opening        files here or elsewhere, packed or not
loaded, memory what a source returns, and work on arrays larger than memory
named          inputs and outputs that have names
predicting, new_rows
               rows to predict, in the job file or in a file that comes later
reading        what is said while large files are read
"""
