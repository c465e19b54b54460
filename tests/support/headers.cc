// The only source of the targets that provide the tests' precompiled headers.
