/// The program's version: what ranks have to agree on, while what they were built for may differ.
package let programVersion = "0.1.0"
