// Fragments of 8 by 8 on the device's own: of the left operand, of the right one, and of the sums.
alias FragA = coop_mat8x8<Frag, A>;
alias FragB = coop_mat8x8<Frag, B>;
alias FragC = coop_mat8x8<f32, C>;
#import fragments_device
