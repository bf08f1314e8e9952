"""Takes a job file to jobs that can be queued: read, checked, resolved for each side, with their data.

jobfile, jobtext, paths, problems   the text, its `--set` and overrides, and what is wrong with them
resolve, native                     each side's job, and where each setting comes from
prepare, summary                    the data, what does not fit them, and what would be trained
table_job, table_plan, table_notes, left_out, image_job
                                    a job made for a table or images, and what is said of columns
not_taken                           what the frameworks have and a job file does not
examples, new_file, schema          job files that ship, those written for you, and the schema of editors
"""
