import Tensors

/// The weights of acquired regions in the form that products read: made at the first product with one, dropped
/// when its region is released.
final class WeightForms {
  private let parameters: any ParameterStore
  private let workspace: Workspace
  private var users: [Int]
  private var forms: [Int: [Parameter: Buffer]] = [:]

  init(_ parameters: any ParameterStore, workspace: Workspace) {
    (self.parameters, self.workspace) = (parameters, workspace)
    users = [Int](repeating: 0, count: parameters.table.regions.count)
  }

  func acquire(_ region: Int) { users[region] += 1 }

  func release(_ region: Int) {
    users[region] -= 1
    if users[region] == 0 { forms[region] = nil }
  }

  /// A weight as the workspace's products read it; outside a region its form lives as long as what is returned.
  func matrix(_ parameter: Parameter) -> WeightMatrix {
    let entry = parameters.table[parameter]
    let (rows, columns) = (entry.shape[0], entry.shape[1])
    let values = UnsafePointer(parameters.value(parameter))
    let known = forms[entry.region]?[parameter]
    let form =
      known ?? workspace.products.form(of: values, rows: rows, columns: columns, in: workspace)
    if known == nil, let form, users[entry.region] > 0 {
      forms[entry.region, default: [:]][parameter] = form
    }
    return WeightMatrix(values, form: form, rows: rows, columns: columns)
  }
}
