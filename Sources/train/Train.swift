import ArgumentParser

@main
struct Train: ParsableCommand {}
