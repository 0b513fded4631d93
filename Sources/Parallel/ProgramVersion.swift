import CCommit

/// The version of what is in the repository; scripts and packages read it here.
package let releaseVersion = "0.1.0"

/// The program's version: what ranks have to agree on, while what they were built for may differ. Such as
/// "0.1.0+5a51b6708d" where the build was told the commit, with "-dirty" where files were changed since.
package let programVersion: String = {
  let commit = String(cString: carat_commit())
  return commit.isEmpty ? releaseVersion : "\(releaseVersion)+\(commit)"
}()
