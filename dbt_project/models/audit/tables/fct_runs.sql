{{ audit_rows() }}
