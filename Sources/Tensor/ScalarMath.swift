import Foundation

// The C library's float32 functions, for the few places that are not worth vectorising.
@inline(__always) func _log(_ x: Float) -> Float { logf(x) }
@inline(__always) func _cos(_ x: Float) -> Float { cosf(x) }
@inline(__always) func _sin(_ x: Float) -> Float { sinf(x) }

/// 1 / (1 + e^-x).
public func sigmoid(_ x: Float) -> Float { 1 / (1 + expf(-x)) }

/// Binary cross-entropy of a logit x with a target y of 0 or 1: max(x, 0) − x y + ln(1 + e^-|x|). Its derivative
/// is sigmoid(x) − y.
public func binaryCrossEntropy(logit x: Float, target y: Float) -> Float {
  max(x, 0) - x * y + log1pf(expf(-abs(x)))
}
