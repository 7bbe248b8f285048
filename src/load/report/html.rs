pub(super) fn page(report: &super::Report) -> String {
    report.text(100)
}
