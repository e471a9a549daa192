//! Decides whether a record fits a schema version and the dictionary. Pure: never fetches a `$ref`, never touches a clock.
