import Tensors

/// The weights of acquired regions in the forms that products read: made at the first product of a direction with
/// one, dropped when its region is released.
///
/// Those of weights that never change may be kept for all passes.
package final class WeightForms {
  private struct Key: Hashable {
    let parameter: Parameter
    let direction: ProductDirection
  }

  private let parameters: any ParameterStore
  private let workspace: Workspace
  private let keeps: Bool
  private var users: [Int]
  private var forms: [Int: [Key: Buffer]] = [:]

  /// No form has been made.
  ///
  /// - Parameter keeping: Whether forms stay when regions are released: only of weights that never change.
  package init(_ parameters: any ParameterStore, workspace: Workspace, keeping: Bool = false) {
    (self.parameters, self.workspace, keeps) = (parameters, workspace, keeping)
    users = [Int](repeating: 0, count: parameters.table.regions.count)
  }

  func acquire(_ region: Int) { users[region] += 1 }

  func release(_ region: Int) {
    users[region] -= 1
    if users[region] == 0, !keeps { forms[region] = nil }
  }

  /// A weight as the workspace's products of a direction read it; outside a region its form lives as long as what
  /// is returned.
  func matrix(_ parameter: Parameter, for direction: ProductDirection) -> WeightMatrix {
    let entry = parameters.table[parameter]
    let (rows, columns) = (entry.shape[0], entry.shape[1])
    let values = UnsafePointer(parameters.value(parameter))
    let key = Key(parameter: parameter, direction: direction)
    let known = forms[entry.region]?[key]
    let form =
      known
      ?? workspace.products.form(
        of: values, rows: rows, columns: columns, for: direction, in: workspace)
    if known == nil, let form, users[entry.region] > 0 || keeps {
      forms[entry.region, default: [:]][key] = form
    }
    return WeightMatrix(values, form: form, for: direction, rows: rows, columns: columns)
  }
}
