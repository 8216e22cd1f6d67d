"""The programs, a file a subject: workflows, activities, and the cases that run them."""
