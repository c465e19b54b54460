// The one source of the targets that hold precompiled headers of tests.
