"""The same raw gRPC calls to the judge and to the subject, and their transcripts compared."""
