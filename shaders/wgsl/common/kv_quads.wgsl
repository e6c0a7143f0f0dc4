// Reads keys and values four elements at a time, as they are stored.
alias KUnit = vec4<K>;
alias VUnit = vec4<V>;

fn key_quad(index: u32) -> vec4<K> {
    return k[index];
}

fn value_quad(index: u32) -> vec4<V> {
    return v[index];
}
