"""A course made of the book: notebooks for students, solutions, a plan, marking, question banks, slides.

Everything comes from the notebooks and the kit's graders; ``course.yml`` holds what only a person can say of a chapter.
"""
