import Testing

@testable import Model
@testable import Tensor

struct DropoutSitesTests {
  /// A mask of 64 elements, which tells keys apart.
  func mask(_ dropout: Dropout) throws -> [Float] {
    let x = try zeros(1, 64)
    x.fill(1)
    dropout.apply(x, into: x, sample: 0)
    return values(x)
  }

  @Test func everySiteModalityLayerStepAndSeedHasItsOwnMask() throws {
    var masks: [[Float]] = []
    for (seed, step) in [(UInt64(1), 0), (1, 1), (2, 0)] {
      let sites = DropoutSites(rate: 0.5, seed: seed, step: step)
      for site in [DropoutSites.Site.embeddings, .probabilities, .attentionOutput, .layerOutput] {
        for (modality, layer) in [(0, 0), (0, 1), (1, 0)] {
          masks.append(try mask(sites(site, modality: modality, layer: layer)))
        }
      }
    }
    #expect(Set(masks).count == 36)
    let again = DropoutSites(rate: 0.5, seed: 1, step: 0)
    #expect(try mask(again(.embeddings, modality: 0)) == masks[0])
  }

  @Test func noneIsNone() {
    #expect(!DropoutSites.none(.embeddings, modality: 0).isActive)
    #expect(!DropoutSites(rate: 0, seed: 1, step: 1)(.layerOutput, modality: 1, layer: 2).isActive)
  }
}
