"""Operations with interchangeable implementations. Imports torch and nothing else of the project."""
